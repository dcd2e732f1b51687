from service.environment import for_children

SECRETS = {
    "FITQUEUE_DATABASE_URL": "postgresql://fitqueue:secret@db/fitqueue",
    "FITQUEUE_REDIS_URL": "redis://:secret@redis/0",
    "FITQUEUE_TOKEN": "fq_secret",
    "AWS_ACCESS_KEY_ID": "secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "secret",
    "AWS_ENDPOINT_URL": "http://id:secret@minio:9000",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret",
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/secret/token",
    "PGPASSWORD": "secret",
    "DOCKER_SOMETHING_NOBODY_THOUGHT_OF": "secret",
}


def test_children_get_no_secrets() -> None:
    assert "secret" not in str(for_children(SECRETS | {"PATH": "/bin"}))


def test_children_get_what_training_needs() -> None:
    allowed = {"PATH": "/bin", "HOME": "/home/x", "https_proxy": "http://proxy", "TF_ENABLE_ONEDNN_OPTS": "0"}
    assert allowed.items() <= for_children(allowed).items()


def test_an_operator_may_change_the_log_level_of_tensorflow() -> None:
    assert for_children({})["TF_CPP_MIN_LOG_LEVEL"] == "2"
    assert for_children({"TF_CPP_MIN_LOG_LEVEL": "0"})["TF_CPP_MIN_LOG_LEVEL"] == "0"


def test_nobody_can_change_the_backend_of_keras() -> None:
    assert for_children({"KERAS_BACKEND": "torch"})["KERAS_BACKEND"] == "tensorflow"
