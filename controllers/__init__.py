"""The street: bundles, the decision service, and what talks to controllers."""
