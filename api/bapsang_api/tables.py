"""All tables of all domains in one place, for migrations and their tests."""

from sqlalchemy import MetaData
from sqlmodel import SQLModel

from bapsang_api.auth import models as auth
from bapsang_api.auth.links import models as links
from bapsang_api.comments import models as comments
from bapsang_api.importing import models as importing
from bapsang_api.likes import models as likes
from bapsang_api.mail import models as mail
from bapsang_api.moderation import models as moderation
from bapsang_api.notifications import models as notifications
from bapsang_api.people import models as people
from bapsang_api.posts import models as posts
from bapsang_api.privacy import models as privacy
from bapsang_api.reports import models as reports
from bapsang_api.search import models as search
from bapsang_api.tags import models as tags
from bapsang_api.uploads import models as uploads
from bapsang_api.users import models as users

MODELS = (
    users.User,
    users.UserAuth,
    users.UserNumber,
    users.UserConsent,
    users.Erasure,
    auth.AuthSession,
    auth.RefreshToken,
    auth.AccessEntry,
    links.AccountLink,
    posts.Post,
    posts.PostContent,
    posts.PostImage,
    search.PostText,
    tags.Tag,
    tags.PostTag,
    uploads.Image,
    comments.Comment,
    likes.UserPostLike,
    importing.ImportedId,
    importing.ImportedLike,
    importing.ImportStep,
    moderation.AuditEntry,
    reports.Report,
    privacy.Export,
    mail.Mail,
    mail.Undeliverable,
    people.Follow,
    people.HiddenPerson,
    people.Bookmark,
    notifications.Inbox,
    notifications.Notification,
)
METADATA: MetaData = SQLModel.metadata
