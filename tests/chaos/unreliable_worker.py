"""A worker whose database calls sometimes fail: `python -m tests.chaos.unreliable_worker`."""

if __name__ == "__main__":
    from tests.unreliable import make_unreliable
    from workers.supervisor.worker import main

    make_unreliable()
    main()
