"""The verbs: what people, the screen and the command line ask for."""
