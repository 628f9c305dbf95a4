"""The recommenders, a public class in each file."""
