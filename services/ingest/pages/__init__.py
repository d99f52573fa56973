"""The staff page of devices: one template, one script, one sheet of style; nothing from anywhere else."""
