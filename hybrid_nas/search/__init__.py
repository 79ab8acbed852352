"""The search: problem, scorer, Optuna study, Pareto front, run directory."""
