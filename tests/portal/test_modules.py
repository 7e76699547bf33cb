"""The browser hears of every module that a page's script leads to, and of nothing else."""

import re

import pytest
from django.contrib.staticfiles import finders
from django.template import Context, Template

from portal.ui.modules import imported_by


@pytest.mark.parametrize("script", ["js/reading.js", "js/worklist.js", "js/page.js"])
def test_modules_of_a_script_are_found_and_exist(script):
    found = imported_by(script)
    assert found and len(set(found)) == len(found) and script not in found
    assert [name for name in found if not finders.find(name)] == []


def test_what_is_imported_by_what_is_imported_is_found():
    assert {"js/viewer/index.js", "js/viewer/transform.js", "js/viewer/marks/geometry.js"} <= set(
        imported_by("js/reading.js")
    )


def test_hints_come_before_the_script():
    html = Template("{% load overread %}{% module 'js/page.js' %}").render(Context())
    assert re.findall(r'(modulepreload|module)"[^>]*(?:href|src)="/static/([^"]*)"', html) == [
        ("modulepreload", "js/theme.js"),
        ("module", "js/page.js"),
    ]
