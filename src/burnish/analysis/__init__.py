"""What can be known of a program: structure, smells, bugs, coverage, cost of its lines."""
