"""What `bams` does when things go wrong: faults and bad inputs, counted in one table (`make torture`)."""
