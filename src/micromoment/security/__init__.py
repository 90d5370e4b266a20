"""Who may call: certificates, tokens, tenants and roles, and the files that they come from."""
