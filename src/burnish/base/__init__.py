"""What everything stands on: errors, registry, runs, statistics, records. Torch-free."""
