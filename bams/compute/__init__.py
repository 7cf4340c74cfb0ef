"""The machine: devices, number formats, and several processes of one run."""
