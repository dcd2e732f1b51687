"""`python -m workers`: run one worker.

Everything is imported inside the guard: multiprocessing reads the parent's main module in the processes it starts.
"""

if __name__ == "__main__":
    from workers.supervisor.worker import main

    main()
