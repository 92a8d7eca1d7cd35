"""Private training of large embedding tables that noises a few rows of them: DP-FEST, DP-AdaFEST (2311.08357)."""
