"""The recommenders, one public class per file."""
