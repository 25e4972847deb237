"""Search: what is indexed of a project, who keeps the index up to date, and how a question is answered."""
