"""Generated from protos/micromoment/v1 by `make proto`; never edited by hand."""
