"""Cases made from botocore's own model of the APIs."""
