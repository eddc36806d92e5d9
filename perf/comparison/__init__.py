"""What perf/run.py and perf/compare.py share."""
