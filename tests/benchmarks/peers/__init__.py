"""One job, done by our runner and by what else a user would pick, on the same topics in one run."""
