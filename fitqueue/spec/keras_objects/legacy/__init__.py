"""Translations of what older versions of Keras wrote; each one leaves a notice that says what was read as what."""
