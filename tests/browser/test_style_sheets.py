"""Every declaration of the style sheets is one that a browser knows: a slip of the pen is silent there."""

import pytest
from playwright.sync_api import Browser

from tests.styles.sheets import rules

pytestmark = pytest.mark.browser
# What another engine needs, and descriptors of at-rules, which are no properties.
NOT_HERE = ("-moz-", "--")


def test_browser_knows_every_declaration(browser: Browser) -> None:
    page = browser.new_page()
    said = [
        (rule.place, name, value)
        for rule in rules()
        for name, value in rule.declarations
        if not name.startswith(NOT_HERE) and "var(" not in value
    ]
    assert len(said) > 500
    unknown = page.evaluate("said => said.filter(([, name, value]) => !CSS.supports(name, value))", said)
    names = page.evaluate("said => said.filter(([, name]) => !CSS.supports(name, 'initial'))", said)
    assert unknown == [] and names == []
    with_variables = {name for rule in rules() for name, value in rule.declarations if "var(" in value}
    with_variables = sorted(name for name in with_variables if not name.startswith(NOT_HERE))
    assert page.evaluate("names => names.filter((name) => !CSS.supports(name, 'initial'))", with_variables) == []
