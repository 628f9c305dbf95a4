"""Keep HR@10 from becoming a link: docutils takes it for a mail address."""

from docutils import nodes


def unlink(app, doctree):
    """Replace links to mail addresses by their text: the site has no mail addresses."""
    for link in list(doctree.findall(nodes.reference)):
        if link.get("refuri", "").startswith("mailto:"):
            link.replace_self(nodes.Text(link.astext()))


def setup(app):
    """Connect `unlink`, which handles each page after it has been read."""
    app.connect("doctree-read", unlink)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
