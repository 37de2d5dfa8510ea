"""Every SQL statement on the outbox."""

from sqlalchemy import Connection, insert

from bapsang_api.kit.db.columns import table_of
from bapsang_api.mail.models import Mail

mail_outbox = table_of(Mail)


def add(connection: Connection, mail: Mail) -> None:
    connection.execute(insert(mail_outbox), mail.model_dump())
