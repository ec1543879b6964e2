"""ProHandel as a Fivetran Connector SDK connection; the reading is that of `mercurios.fivetran`.

`python -m mercurios.fivetran.bundle FOLDER` puts together what `fivetran deploy` wants.
"""

from fivetran_connector_sdk import ConfigurationForm, Connector, Operations, Test, form_field

from mercurios.errors import MercuriosError
from mercurios.fivetran import sdk
from mercurios.fivetran.configuration import OPTIONAL, REQUIRED, SECRETS


def schema(configuration: dict):
    """Tables, keys and types."""
    return sdk.schema(configuration)


def update(configuration: dict, state: dict):
    """One sync."""
    sdk.update(configuration, state, Operations)


def login_test(configuration: dict):
    """Whether the credentials open the merchant's API."""
    try:
        sdk.check(configuration)
    except MercuriosError as error:
        return Test.failure(str(error))
    return Test.success()


def configuration_form():
    """The fields of the connection's setup."""
    form = ConfigurationForm()
    for name in (*REQUIRED, *(option for option in OPTIONAL if option != "response_bytes")):
        kind = form_field.TextField.password if name in SECRETS else form_field.TextField.plain_text
        form.add_field(form_field.TextField(name, name.replace("_", " "), kind, required=name in REQUIRED))
    form.add_test(label="Log in to ProHandel and read one page", func=login_test)
    return form


connector = Connector(update=update, schema=schema, configuration_form=configuration_form)

if __name__ == "__main__":
    connector.debug()
