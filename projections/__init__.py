"""Pure folds of events into something readable: views, the trail, the export and its verification."""
