"""What happened in a simulated shop, put the way a GA4 BigQuery export puts it."""
