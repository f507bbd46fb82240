"""Images as their users see them: names, pull and push, save and load, history, removal, and what of all that is garbage."""
