"""What every service shares: the pure domain, the contracts between processes, and what it takes to run."""
