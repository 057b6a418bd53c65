//! A running job: its deadline, its end, what it used.
