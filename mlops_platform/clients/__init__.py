"""Programs that the platform asks over HTTP: Airflow, the prediction service, a webhook."""
