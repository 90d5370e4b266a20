# ruleid: no-ids-in-logs
_log.info("scored", session_id=session_id)
# ruleid: no-ids-in-logs
_log.warning("refused", reason="x", token=token)
# ruleid: no-ids-in-logs
self._log.error("failed", user=user)
# ok: no-ids-in-logs
_log.info("scored", sessions=len(sessions), bundle=bundle)
# ok: no-ids-in-logs
client.info("scored", session_id=session_id)

# ruleid: no-ids-in-log-texts
_log.info(f"scored {session}")
# ruleid: no-ids-in-log-texts
logger.warning("scored %s" % session)
# ruleid: no-ids-in-log-texts
_log.exception("failed")
# ok: no-ids-in-log-texts
_log.info("scored", bundle=bundle)


def raises():
    # ruleid: no-ids-in-errors
    raise ValueError(f"no session {session_id}")


def raises_too():
    # ruleid: no-ids-in-errors
    raise InvalidDataError("row", f"user {row.user_id} is unknown")


def fine():
    # ok: no-ids-in-errors
    raise ValueError(f"row {number} has no session")


# ruleid: no-values-in-sql
db.execute(f"SELECT * FROM calls WHERE session_id = '{session_id}'")
# ruleid: no-values-in-sql
db.execute("SELECT * FROM calls WHERE session_id = '%s'" % session_id)
# ruleid: no-values-in-sql
db.execute("SELECT * FROM calls WHERE session_id = " + session_id)
# ok: no-values-in-sql
db.execute("SELECT * FROM calls WHERE session_id = ?", (session_id,))
