"""What holds for the repository as a whole: public names, documents, tidiness."""
