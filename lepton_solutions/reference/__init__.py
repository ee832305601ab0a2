"""Reference cases: small problems whose answer is known, run through the same loop as everything else."""
