"""The machine: devices, number formats, threads, and several processes of one run."""
