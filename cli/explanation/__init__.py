"""Why a library's status was what it was: read again from the log, taken apart, and told in words and numbers.

`past` and `reread` bring a library to a time, by the function that the aggregator runs; `from_bus` and `from_file`
fetch what they read. `account` takes the state apart into values (`counting`, `corrections`, `levels`, `queueing`,
`publication`); `words` and `fields` say them to people and to programs.
"""
