-- Gives everything in this database's schema to the role of the database's name. What belongs to an extension, or to a column as
-- its sequence, stays with it.
SELECT format('ALTER %s %s OWNER TO %I', kind, name, current_database())
FROM (
    SELECT 'TABLE', oid::regclass::text, relowner, 'pg_class'::regclass, oid FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'TYPE', oid::regtype::text, typowner, 'pg_type'::regclass, oid FROM pg_type
    WHERE typtype IN ('e', 'd') AND typnamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'ROUTINE', oid::regprocedure::text, proowner, 'pg_proc'::regclass, oid FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
) AS thing (kind, name, owner, class, id)
WHERE owner <> (SELECT oid FROM pg_roles WHERE rolname = current_database())
  AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = class AND objid = id AND deptype IN ('e', 'a', 'i')) \gexec
