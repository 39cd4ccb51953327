"""All that hftd logs: the key of each event, which never changes its meaning, and the sentence that says it.

A program that reads the log goes by the key and the fields; the sentence is for people, and its wording may change.
Each call of a logger in `hftd`, `daemon` and `sim` names a key of this table; `docs/live.md` lists it.
"""

import string
from collections.abc import Mapping
from typing import Final

from daemon.redaction import redacted

VALUE_SHOWN: Final = 300
"""So many characters of a field are in the sentence; the field itself has all."""

SENTENCES: Final[dict[str, str]] = {
    # The channel and its bots
    "serving": "the connector serves the channel {channel} for {venue}",
    "socket_taken_over": "the control socket of a daemon that died was taken over: {channel}",
    "bot_attached": "bot {bot} (process {pid}) attached to {channel}",
    "bot_detached": "bot {bot} (process {pid}) detached from {channel}: {reason}",
    "bot_lease_ended": "the lease of bot {bot} ended ({reason}); its end policy is applied: {on_end}",
    "bot_lease_lost": "the connector detached bot {bot}: {reason}",
    "bot_lease_expired": "bot {bot} did not come back in time; its end policy is applied",
    "bot_request_failed": "a request of bot {bot} could not be handled",
    "departed_bot_request_failed": "a request that the detached bot {bot} had left could not be handled: {error}",
    "departed_bot_requests_dropped": "{count} requests that the detached bot {bot} had left in its queue were dropped",
    "departed_bot_queue_invalid": "the request queue of the detached bot {bot} holds invalid data: {error}",
    "caller_refused": "a caller at the control socket of {channel} (process {pid}) was refused: {what}",
    "accept_paused": "the control socket of {channel} accepts no connections for a while: {error}",
    "detach_handler_failed": "a handler raised while bot {bot} was detached from {channel}",
    "message_handler_failed": "a handler raised for a message of a caller: {message}",
    "channel_close_failed": "a part of the channel {channel} raised while it was closed",
    "channel_memory_not_freed": "memory of the channel was not freed",
    # In the bot's process
    "waiting_for_channel": "waiting for a daemon to serve the channel {channel}",
    "daemon_lost": "bot {bot} lost its daemon: {why}",
    "daemon_back": "bot {bot} has its daemon back: {why}",
    "daemon_stands_still": "the daemon of the channel {channel} stands still; bot {bot} sends it cancels alone",
    "daemon_goes_on": "the daemon of the channel {channel} goes on; bot {bot} trades there again",
    "notice_received": "the connector says of {symbol} ({kind}): {words}",
    "hook_raised": "the {hook} hook raised; it is called again for the next event",
    "parameters_set": "user {uid} (process {pid}) set parameters of bot {bot}: {values}",
    "parameters_not_set": "user {uid} (process {pid}) could not set parameters of bot {bot}: {why}",
    "parameters_wait": "parameters of bot {bot} wait for the next step of its strategy: {values}",
    "question_failed": "bot {bot} failed to answer a question about its parameters",
    "recording_failed": "the run of bot {bot} can't be written to {path} any more, and goes on: {why}",
    "report_failed": "how bot {bot} stands can't be shown any more; it goes on",
    "compile_cache_unsafe": "compiled code is not cached in a folder where others could replace it: {why}",
    # The connector
    "orders_connected": "orders can be sent: {channel}",
    "orders_disconnected": "orders can't be sent: {channel}",
    "connection_renewed": "the connection {connection} ended as planned and the next begins",
    "connection_lost": "the connection {connection} was lost and is opened again in {again_in_s} s: {why}",
    "connection_crashed": "the connection {connection} ended with an unexpected error",
    "instruments_not_fetched": "could not fetch the instruments at the start; next attempt in {again_in_s} s: {why}",
    "instruments_not_refreshed": "could not refresh the instruments, which is tried again: {why}",
    "instrument_added": "the exchange lists a new instrument: {symbol}",
    "instrument_not_trading": "{symbol} is not traded now: {why}",
    "instrument_trading": "{symbol} is traded again",
    "instrument_steps_changed": "the tick or lot size of {symbol} has changed, restart the connector: {why}",
    "symbol_not_listed": "the configured symbol {symbol} is no longer listed and is not followed",
    "symbols_unreadable": "{count} symbols whose description could not be read are left out, the first is {first}",
    "contract_changed": "the exchange announces a change of {symbol}: {status}",
    "rows_not_fused": "rows of {symbol} could not be fused: {why}",
    "item_set_aside": "something about {symbol} could not be taken over and was set aside ({what}): {why}",
    "warning": "a warning of hftd status began: {text}",
    "warning_over": "a warning of hftd status is over after {lasted_s} s",
    "waiting_status_unavailable": "hftd status can't show that the connector waits: {why}",
    "callback_failed": "a callback or task raised where nothing waits for it: {why}",
    "shutdown_failed": "the orderly shutdown failed",
    "shutdown_step_failed": "a part of the connector raised while it was closed",
    "shutdown_incomplete": "{count} parts of the connector did not end in time and were abandoned",
    "shutdown_with_unanswered_requests": "the connector ends while {count} requests have no answer",
    # Clocks and the machine
    "system_clock_set": "the system clock was set by {by_s} s",
    "machine_slept": "the machine was suspended for {for_s} s",
    "process_paused": "this process did not run for {for_s} s",
    "loop_stuck": "the {loop} loop of the connector has been stuck for {for_s} s",
    "event_loop_stalled": "the event loop did not run for {for_s} s",
    "exchange_clock_jumped": "the difference between the exchange's clock and ours changed abruptly by {by_s} s",
    "exchange_time_not_fetched": "could not fetch the exchange's time; next attempt in {again_in_s} s: {why}",
    # Market data
    "market_connected": "a market data connection for {instruments} instruments is open",
    "market_event_unknown": "a market data event of the unknown name {event_name} is ignored",
    "book_valid": "the book of {symbol} is valid",
    "book_invalid": "the book of {symbol} is not valid: {why}",
    "snapshot_failed": "could not fetch a snapshot of {symbol}; next attempt in {again_in_s} s: {why}",
    "snapshot_crashed": "fetching or applying a snapshot ended with an unexpected error",
    "stream_without_data": "a stream has sent nothing since it was subscribed and is subscribed again: {stream}",
    "stream_silent": "a stream of {symbol} ({stream}) has been silent for {silent_s} s and is subscribed again",
    "stream_check_failed": "could not find out whether a silent stream of {symbol} ({stream}) is alive: {why}",
    "stream_check_crashed": "the check of the streams of {symbol} ended with an unexpected error",
    "message_unusable": "a message could not be used and was set aside ({kind}): {what}",
    "unreadable_not_logged": "{count} more unreadable messages within a minute were not logged",
    # The collector
    "collecting": "the collector {name} records {venues}",
    "collect_connected": "the connection {connection} of the collector is open",
    "collect_takes_over": "the collector takes the place of process {pid}, which it ends",
    "collect_paused": "the collector pauses: {why}",
    "collect_resumed": "the collector records again",
    "collect_write_failed": "{path} could not be written, and what came is kept: {why}",
    "collect_writer_failed": "the collector's writer ended a round with an unexpected error",
    "collect_no_book": "could not fetch a book of {symbol}; next attempt in {again_in_s} s: {why}",
    "collect_book_failed": "fetching or writing a book of {symbol} ended with an unexpected error",
    "collect_stream_silent": "the depth stream of {symbol} is silent though its book changes, and is subscribed again",
    "collect_clock_failed": "could not fetch the time of {venue}: {why}",
    "collect_converted": "the day {day} of {symbol} is an archive",
    "collect_not_converted": "the day {day} of {symbol} could not be made an archive: {why}",
    # Requests and the account's events
    "order_refused": "a request of bot {bot} in {symbol} was refused ({what}): {reason}",
    "refusals_not_logged": "{count} more refusals within a minute were not logged",
    "rate_limit_lowered": "the exchange's rate limit {limit} is lower than announced: {now} instead of {was}",
    "address_banned": "the exchange bans this address for {for_s} s",
    "rest_request_crashed": "a {request} request over REST failed unexpectedly, its outcome is unknown: {why}",
    "outcome_crashed": "handling the outcome of a {request} request ended with an unexpected error",
    "error_without_request": "the exchange sent an error that belongs to no request: {words}",
    "message_unreadable": "a message of the account could not be read ({what}): {why}",
    "account_event_crashed": "handling an event of the account ended with an unexpected error",
    "account_not_ready": "the account is not ready for trading; next attempt in {again_in_s} s: {why}",
    "user_stream_not_extended": "could not extend the user data stream; next attempt in {again_in_s} s: {why}",
    "key_rights_unknown": "could not find out the permissions of the API key: {why}",
    "margin_call": "the exchange warns that the account's margin is nearly used up",
    # The dead-man switch
    "account_switch_set": "the dead-man switch of the account is set to {window_s} s",
    "account_switch_not_set": "could not set the dead-man switch of the account, which is tried again: {why}",
    "connection_switch_not_set": "could not set the dead-man switch of a connection: {why}",
    "countdown_not_refreshed": "could not refresh the cancel countdown of {symbol}, which is tried again: {why}",
    "no_dead_man_switch": "the exchange has no dead-man switch: orders stay open if this process or its network dies",
    # Orders and positions
    "stray_order_cancelled": "the open order {client_id} in {symbol} belongs to no bot and is cancelled: {why}",
    "order_adopted": "the open order {client_id}, which the journal did not have, is adopted",
    "order_unknown_to_exchange": "the exchange does not know the order {client_id} of bot {bot}, which was sent",
    "abandoned_order_alive": "the order {client_id} of bot {bot}, which was given up, is open at the exchange",
    "executions_written_off": "executions of the order {client_id} could not be fetched; {lots} lots are written off",
    "position_closing": "an order closes the position of bot {bot} in {symbol}",
    "position_not_closed": "the position of bot {bot} in {symbol} could not be closed: {why}",
    "forced_close": "the exchange closed the position of bot {bot} in {symbol}, or a part of it",
    "foreign_trade": "somebody else trades {symbol}, in which bots hold a position: {what}",
    "position_differed": "the position in {symbol} is not what the executions give; the exchange's is taken",
    "position_left": "what can be closed for bot {bot} in {symbol}, {position}, is less than an order may be: it waits",
    "balance_differed": "the balance of {asset} is not what the executions give; the exchange's is taken",
    "balance_transferred": "{amount} {asset} were moved into the account, or out of it if negative",
    "account_differed": "the exchange's account differed from what the connector had recorded",
    "payments_not_fetched": "payments of funding could not be fetched, which is tried again in {again_in_s} s: {why}",
    "reconciliation_failed": "the account could not be reconciled, which is tried again: {why}",
    "reconciliation_crashed": "a reconciliation ended with an unexpected error",
    # The journal
    "journal_not_written": "the journal can't be written and no orders are accepted: {error}",
    "journal_not_rewritten": "the journal's next file can't be written, and the old one stays in use: {error}",
    "journal_part_not_packed": "an old part of the journal, {part}, can't be packed and stays as it is: {error}",
    "journal_damaged": "the journal {journal} is damaged; its readable beginning is kept, {kept} of {of} bytes",
    "journal_record_incomplete": "the last record of the journal {journal} was incomplete and is dropped",
    "journal_file_removed": "the file of the journal was removed and is written again: {journal}",
    "halted_by_limit": "a limit was reached, and {whose} is halted: {why}",
    "profit_failed": "what was earned or lost could not be computed",
    "journal_ids_conflict": "executions come under ids that the journal has for others; no orders are accepted",
    # The log itself, and the local exchange
    "log_lines_dropped": "{count} lines of the log were dropped here: they could not be written",
    "market_failed": "the market of the local exchange can't go on: {reason}",
    # What watches daemons
    "metrics_failed": "the daemons could not be asked for their metrics: {error}",
    "status_not_shown": "the status of {daemon} could not be shown: {error}",
    "web_look_failed": "the daemons could not be looked at for the page, which is tried again: {error}",
    "web_answer_failed": "a request to the page could not be answered: {error}",
    "alert": "an alert of {daemon} ({rule}): {text}",
    "alert_over": "an alert of {daemon} ({rule}) is over after {lasted_s} s: {text}",
    "alert_not_delivered": "alerts do not reach {target}, which is tried again: {why}",
    "alert_look_failed": "the daemons could not be looked at, which is tried again: {error}",
}


MAIN: Final = frozenset(
    {
        *("serving", "socket_taken_over", "orders_connected", "bot_attached", "bot_detached", "warning_over"),
        *("instrument_trading", "position_closing", "balance_transferred"),
        *("collecting", "collect_takes_over", "collect_resumed", "collect_converted"),
    }
)
"""Those below a warning that a daemon shows to those that ask it, among its last events."""


def sentence(key: object, fields: Mapping[str, object]) -> str:
    """What an event says, with its fields filled in.

    Args:
        key: The event's.
        fields: Its fields. One that the sentence needs and that is not there, or that can't be shown, leaves its name.

    Returns:
        One line; empty if there is no such key.
    """
    template = SENTENCES.get(key) if isinstance(key, str) else None
    if template is None:
        return ""
    parts: list[str] = []
    for text, name, _, _ in string.Formatter().parse(template):
        parts.append(text)
        if name is not None:
            parts.append(shown(name, fields))
    return "".join(parts)


def named(template: str) -> set[str]:
    """The fields that a sentence has in it."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def shown(name: str, fields: Mapping[str, object]) -> str:
    """A field for people: short, and in one line; its name in braces if it can't be shown."""
    try:
        text = str(fields[name])
    except Exception:
        # Whoever logs never hears of it.
        return f"{{{name}}}"
    if len(text) > VALUE_SHOWN:
        # Before it is cut: half a secret would not be known for one.
        text = f"{redacted(text)[:VALUE_SHOWN]}..."
    # What an exchange or a bot said may hold line ends and a terminal's commands.
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
