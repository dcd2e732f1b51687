"""What the audit log records: each action of a user that changes something."""

from fitqueue.states import DescribedEnum


class AuditAction(DescribedEnum):
    """What somebody did. Before the dot stands the kind of its target."""

    JOB_SUBMIT = ("job.submit", "A job was submitted.")
    JOB_CHANGE = ("job.change", "The name, labels, limits or place in the queue of a job were changed.")
    JOB_MOVE_TO_FRONT = ("job.move_to_front", "A job was moved to the front of its pool.")
    JOB_CANCEL = ("job.cancel", "A job was cancelled, or asked to stop.")
    JOB_PAUSE = ("job.pause", "A job was paused, or asked to pause.")
    JOB_RESUME = ("job.resume", "A paused job was resumed.")
    JOB_EXTEND = ("job.extend", "An ended job was given more epochs.")
    JOB_DELETE = ("job.delete", "An ended job was deleted.")
    DATASET_UPLOAD = ("dataset.upload", "A data set was uploaded.")
    DATASET_DELETE = ("dataset.delete", "A data set was deleted.")
    TOKEN_CREATE = ("token.create", "A token was created.")
    TOKEN_REVOKE = ("token.revoke", "A token was revoked.")
    USER_CREATE = ("user.create", "A user was created.")
    USER_CHANGE = (
        "user.change",
        "The role, share, priority or limits of a user were changed, or the user disabled or enabled.",
    )
    PROJECT_CREATE = ("project.create", "A project was created.")
    PROJECT_CHANGE = (
        "project.change",
        "A project was opened or closed, or its share, limits or retention changed.",
    )
    PROJECT_ADD_MEMBER = ("project.add_member", "A user was added to a project.")
    PROJECT_REMOVE_MEMBER = ("project.remove_member", "A user was removed from a project.")
    WEBHOOK_CREATE = ("webhook.create", "A webhook was created.")
    WEBHOOK_DELETE = ("webhook.delete", "A webhook was deleted.")
    WEBHOOK_TEST = ("webhook.test", "A test was sent to a webhook.")
    WEBHOOK_RESEND = ("webhook.resend", "A delivery of a webhook was sent again.")
    WORKER_DRAIN = ("worker.drain", "A worker was told to drain.")
    WORKER_END_DRAIN = ("worker.end_drain", "The drain of a worker was ended.")
    LOGIN_BEGIN = ("login.begin", "A browser was logged in, with a token or by a link. The target is the token.")
    LOGIN_END = ("login.end", "A browser was logged out. The target is the token.")
    LOGIN_CREATE_LINK = ("login.create_link", "A link was created that logs a browser in. The target is the token.")

    @property
    def target_kind(self) -> str:
        """The kind of what it is done to."""
        return self.value.partition(".")[0]
