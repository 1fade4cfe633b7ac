"""Pages: HTML that needs no other file, from Jinja2 templates and one stylesheet."""

from stylegan.pages.render import image_column, png_data_uri, render

__all__ = ["image_column", "png_data_uri", "render"]
