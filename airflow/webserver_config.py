"""Configuration of Airflow's users and roles (Flask-AppBuilder): a database of users with hashed passwords."""

from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
WTF_CSRF_TIME_LIMIT = None
