"""What a service needs to run: bus, clock, engines, health, logs, metrics, settings, provisioning."""
