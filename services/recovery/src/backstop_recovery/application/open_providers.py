"""Which providers have open tasks, for statements that begin `WITH RECURSIVE`: one index descent per provider,
however many tasks each has. The last row of `open` is null."""

OPEN_PROVIDERS = """
    open AS (
        (SELECT provider FROM tasks WHERE status = 'processing' ORDER BY provider LIMIT 1)
        UNION ALL
        SELECT (SELECT t.provider FROM tasks t WHERE t.status = 'processing' AND t.provider > open.provider
            ORDER BY t.provider LIMIT 1)
        FROM open WHERE open.provider IS NOT NULL
    )
"""
