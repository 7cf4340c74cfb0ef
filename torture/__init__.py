"""What happens to `bams` when things go wrong: faults injected, bad inputs tried, one table (`make torture`)."""
