"""What protects people: faces and number plates are blurred on pages that everybody sees."""
