"""The web pages: whole without a script, live with one."""
