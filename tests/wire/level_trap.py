"""All wire tests at level "trap"; without a level they run at the default, "kill"."""

from level_test import run_all_at

run_all_at("trap")
