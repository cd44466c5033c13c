"""What a reader is handed: figures in a folder, tables as text."""
