"""What recovery costs, beside a sequential endpoint and beside a floor, in one run on one machine."""
