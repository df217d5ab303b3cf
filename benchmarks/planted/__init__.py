"""Trainings broken on purpose, to see whether the doctor says what broke them."""
