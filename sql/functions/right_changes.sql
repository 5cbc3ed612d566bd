-- Whatever decides what a caller may see leaves a row in right_changes when it changes, by whatever way and in the same
-- transaction (docs/decisions/0011). Many people in one statement count as everybody, which is 0; everybody of one site is
-- its id below zero. That is said of the tree and of what roles may do, where listeners that are there go by the acl_version
-- of their site: it is for those who come back.

-- The bots of these users are among those concerned: a bot is barred with its owner.
CREATE FUNCTION rights_changed(users bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO right_changes (user_id)
    SELECT DISTINCT CASE WHEN cardinality(users) > 1000 THEN 0 ELSE u.id END
      FROM (SELECT unnest(users)
             UNION ALL
            SELECT b.user_id
              FROM profiles o
              JOIN profiles b ON b.site_id = o.site_id AND b.bot_owner_id = o.profile_id
             WHERE cardinality(users) <= 1000 AND o.user_id = ANY(users)) AS u (id)
     WHERE u.id IS NOT NULL
        ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION rights_changed_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rights_changed(ARRAY(SELECT coalesce(c.user_id, 0) FROM changed c));
    RETURN NULL;
END $$;

CREATE FUNCTION rights_changed_profiles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rights_changed(ARRAY(SELECT p.user_id FROM changed c
                                   JOIN profiles p ON p.site_id = c.site_id AND p.profile_id = c.profile_id));
    RETURN NULL;
END $$;

CREATE FUNCTION rights_changed_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rights_changed(ARRAY[OLD.user_id, NEW.user_id]);
    RETURN NULL;
END $$;

CREATE FUNCTION rights_changed_everybody() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rights_changed(ARRAY[0::bigint]);
    RETURN NULL;
END $$;

CREATE FUNCTION rights_changed_site() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rights_changed(ARRAY[-coalesce(NEW.site_id, OLD.site_id)]);
    RETURN NULL;
END $$;

-- Tokens: revoked, shortened, limited.
CREATE TRIGGER rights_changed_gone AFTER DELETE ON access_tokens
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rights_changed_users();
CREATE TRIGGER rights_changed AFTER UPDATE ON access_tokens
    FOR EACH ROW WHEN ((OLD.expires, OLD.scopes, OLD.site_id, OLD.user_id, OLD.token_hash)
                       IS DISTINCT FROM (NEW.expires, NEW.scopes, NEW.site_id, NEW.user_id, NEW.token_hash))
    EXECUTE FUNCTION rights_changed_row();

-- Bans, of a user or of everybody with an address of some domain.
CREATE TRIGGER rights_changed_new AFTER INSERT ON bans
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rights_changed_users();
CREATE TRIGGER rights_changed_gone AFTER DELETE ON bans
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rights_changed_users();
CREATE TRIGGER rights_changed_again AFTER UPDATE ON bans
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rights_changed_users();
CREATE TRIGGER rights_changed AFTER UPDATE ON users
    FOR EACH ROW WHEN ((OLD.is_banned, OLD.email) IS DISTINCT FROM (NEW.is_banned, NEW.email))
    EXECUTE FUNCTION rights_changed_row();

-- Roles.
CREATE TRIGGER rights_changed AFTER UPDATE ON profiles
    FOR EACH ROW WHEN ((OLD.role_ids, OLD.next_change_at, OLD.user_id, OLD.uses_platform, OLD.huddles_confirmed)
                       IS DISTINCT FROM (NEW.role_ids, NEW.next_change_at, NEW.user_id, NEW.uses_platform,
                                         NEW.huddles_confirmed))
    EXECUTE FUNCTION rights_changed_row();

-- Who owns a site, and whether it demands a second factor.
CREATE TRIGGER rights_changed AFTER UPDATE ON sites
    FOR EACH ROW WHEN ((OLD.owned_by, OLD.needs_second_factor) IS DISTINCT FROM (NEW.owned_by, NEW.needs_second_factor))
    EXECUTE FUNCTION rights_changed_everybody();
CREATE TRIGGER rights_changed AFTER INSERT OR UPDATE OR DELETE ON one_time_secrets
    FOR EACH ROW EXECUTE FUNCTION rights_changed_row();

-- Who has left a huddle.
CREATE TRIGGER rights_changed AFTER DELETE ON huddle_participants
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rights_changed_profiles();

-- What somebody does not want to see.
CREATE TRIGGER rights_changed_new AFTER INSERT ON ignores
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rights_changed_profiles();
CREATE TRIGGER rights_changed_gone AFTER DELETE ON ignores
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION rights_changed_profiles();

-- Where microcosms stand and whether they are there, and what roles may do in them.
CREATE TRIGGER rights_changed AFTER UPDATE ON microcosms
    FOR EACH ROW WHEN ((OLD.parent_id, OLD.is_deleted, OLD.is_moderated, OLD.owned_by)
                       IS DISTINCT FROM (NEW.parent_id, NEW.is_deleted, NEW.is_moderated, NEW.owned_by))
    EXECUTE FUNCTION rights_changed_site();
CREATE TRIGGER rights_changed_some AFTER INSERT OR DELETE ON roles
    FOR EACH ROW EXECUTE FUNCTION rights_changed_site();
CREATE TRIGGER rights_changed AFTER UPDATE ON roles
    FOR EACH ROW WHEN ((OLD.is_moderator, OLD.is_banned, OLD.include_guests, OLD.include_users, OLD.can_read)
                       IS DISTINCT FROM (NEW.is_moderator, NEW.is_banned, NEW.include_guests, NEW.include_users,
                                         NEW.can_read))
    EXECUTE FUNCTION rights_changed_site();
