"""`python -m tests.chaos.unreliable_worker`: a worker whose database fails now and then."""

if __name__ == "__main__":
    from tests.unreliable import make_unreliable
    from workers.supervisor.worker import main

    make_unreliable()
    main()
